"""What tests of a Worker, and of Edge itself, need: a clock moved by hand, an environment, a Lambda around a process."""
