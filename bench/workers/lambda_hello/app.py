from edge.runtime.adapters.aws_lambda import handler_for

handler = handler_for("wrangler.jsonc")
