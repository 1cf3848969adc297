"""What the page asks of the API about what is kept of a project's files."""

from __future__ import annotations

import streamlit as st

from schema import RetentionPlan, RetentionPolicy, RetentionReply
from views import artifact_source, source


@st.cache_data(ttl=2, show_spinner=False)
def get_policy(project: str) -> RetentionPolicy:
    """Return what is kept of a project's files."""
    return source.api().get_retention(project)


def set_policy(project: str, policy: RetentionPolicy) -> RetentionPolicy:
    """Keep what is to be kept of a project's files."""
    try:
        return source.api().set_retention(project, policy)
    finally:
        get_policy.clear()


def plan(project: str) -> RetentionPlan:
    """Return what the policy of a project would delete now, without deleting it."""
    return source.api().plan_retention(project)


def apply(project: str, token: str) -> RetentionReply:
    """Delete exactly what a plan named; refused when that has changed."""
    try:
        return source.api().apply_retention(project, token)
    finally:
        artifact_source.forget()
