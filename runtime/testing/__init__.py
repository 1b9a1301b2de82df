"""What tests of a Worker, and of Edge itself, need: a clock moved by hand, AWS Lambda around a process."""
