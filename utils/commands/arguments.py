"""What commands share: options with one meaning, one default and one help text, and the exit."""

import argparse
import sys

SHARED = {
    "--data": {"default": "auto", "help": "auto, cifar10, shapes or a local folder"},
    "--seeds": {"type": int, "default": 3, "help": "how many, counted from 0"},
    "--hold-out": {
        "type": int,
        "default": 0,
        "metavar": "N",
        "help": "measure on N images held out of the training set instead of the test set",
    },
    "--precision": {
        "help": "Keras dtype policy; default: that of what is begun, else what suits the device"
    },
}


def command_parser(module, description, *shared):
    """A parser for `python -m MODULE`.

    Args:
        module: str, the module's full name.
        description: str, shown by `--help`; for a command its module's docstring.
        *shared: names of options out of `SHARED`; `set_defaults` gives one another default.

    Returns:
        `argparse.ArgumentParser`, to which the command adds the options of its own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    for name in shared:
        parser.add_argument(name, **SHARED[name])
    return parser


def exit_status(command):
    """Runs a command of the shell: 0, or 1 after one line about an error that the user can mend."""
    try:
        command()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
