"""What the commands of `vanc311` do and print; one module each. They call the pipeline and hold no logic of it."""
