"""Workflows over gRPC: an extra (`pip install 'edge-workers[grpc]'`), on a loopback port that edge.toml names."""
