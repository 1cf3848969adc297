"""What Streamlit's secrets say about logging in, and what is wrong with them."""

from __future__ import annotations

import os
from enum import Enum, auto

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError


class Auth(Enum):
    """What there is of ``[auth]``."""

    THERE = auto()
    NOT_THERE = auto()
    UNREADABLE = auto()


def find_auth() -> Auth:
    """Say whether the secrets have ``[auth]``; who cannot read them never takes them for none."""
    return _look()[0]


def complaint() -> str:
    """Return what keeps the secrets from being read, for the log; "" where nothing does."""
    return _look()[1]


def _look() -> tuple[Auth, str]:
    try:
        return (Auth.THERE if "auth" in st.secrets else Auth.NOT_THERE), ""
    except StreamlitSecretNotFoundError as error:
        # The same error tells of no file, of one that is no TOML, and of a path that Streamlit cannot use.
        is_none = all(_is_missing(path) for path in st.get_option("secrets.files"))
        return (Auth.NOT_THERE if is_none else Auth.UNREADABLE), str(error)
    except (OSError, UnicodeError) as error:
        return Auth.UNREADABLE, str(error)


def _is_missing(path: str) -> bool:
    """Whether there is no file, and one that came there would be read."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return path.endswith(".toml")
    except OSError:
        return False  # nobody can tell
    return False
