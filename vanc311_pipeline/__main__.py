"""The program `vanc311`, or `python -m vanc311_pipeline`: the command line (`cli`) within its beginning and end (`entry`)."""

from vanc311_pipeline.entry import main


def vanc311() -> None:
    """Run the command that the arguments name. What takes long to import is imported once a signal would be heard."""

    def command_line() -> None:
        from vanc311_pipeline.cli import vanc311 as commands

        commands()

    main(command_line)


if __name__ == "__main__":
    vanc311()
