"""`python -m vanc311_pipeline.portal.standin`: the stand-in's command on its own, nothing else."""

from vanc311_pipeline.portal.standin.command import standin_command

standin_command(prog_name="standin")
