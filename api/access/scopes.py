"""What each route asks of a token: its scope, and what it is to a token of one project.

A route that is not in the table is for admins of all projects alone, and a test fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, NamedTuple

from schema.access import Scope


class Reach(Enum):
    """What a route is to a token of one project."""

    RUN = "the guard lets it through for runs of its project: the path names the run as iid"
    VIEW = "the view keeps it to its project"
    ANY = "it tells nothing of any project"
    NONE = "it is refused"


class Rule(NamedTuple):
    """What a route asks for; without a scope it is open to strangers."""

    scope: Scope | None
    reach: Reach


STRICTEST: Final = Rule(Scope.ADMIN, Reach.NONE)
UNKNOWN_PATH: Final = Rule(Scope.READ, Reach.ANY)

_OPEN = """
    docs.show_docs docs.static openapi.spec
    live.show_page live.show_dashboard live.static live.send_font
    health.get_health health.lead_to_page
"""
_READ_ONE_RUN = """
    accounts.get_account accounts.get_power
    artifacts.download_artifact artifacts.list_artifacts
    controls.get_deletion experiments.list_notes histograms.list_histograms metrics.list_metrics
    models.download_model models.list_models
    registry.list_run_models reports.get_report reproducing.get_reproduction
    runs.get_experiment runs.get_log runs.get_run runs.get_status runs.list_epochs runs.list_log
"""
_READ_OWN = """
    carbon.list_savings live.open_events live.open_socket live.issue_ticket retention.get_retention
    runs.list_experiments runs.list_runs runs.list_tracked search.search_runs
"""
_READ_SHARED = """
    carbon.get_forecast carbon.get_history carbon.get_intensity carbon.get_window carbon.list_zones_in_use
    health.get_page tokens.get_caller trainers.list_trainers
"""
_READ_ALL = """
    archive.get_archive observing.get_metrics
    accounts.predict alerts.get_rule alerts.list_alerts alerts.list_channels alerts.list_deliveries
    alerts.list_rules home.get_home leaderboard.export_leaderboard leaderboard.list_leaderboard
    marks.list_views recommend.get_next_try recommend.get_recommendation
    registry.download_version registry.get_lineage registry.list_versions
    sweeps.get_figures sweeps.get_sweep sweeps.list_sweeps sweeps.list_trials
    sweeps.predict_a_sweep
    totals.list_totals workers.list_workers
"""
_WRITE_ONE_RUN = """
    artifacts.store_artifact
    controls.cancel_run controls.pause_run controls.preempt_run controls.rerun_run controls.resume_run
    controls.retry_run controls.run_now controls.set_priority
    experiments.add_note experiments.delete_note experiments.set_params experiments.set_status
    experiments.set_tags histograms.record_histograms
    marks.edit_note marks.set_star metrics.append_log metrics.record_points totals.recompute_run
"""
_WRITE_OWN = "experiments.begin_experiment live.reset_view live.update_batch runs.submit_run"
_WRITE_ALL = """
    bulk.act_on_runs leaderboard.import_leaderboard marks.delete_view marks.save_view
    registry.register_model registry.set_stage registry.use_models
    sweeps.pause_sweep sweeps.resume_sweep sweeps.start_sweep sweeps.stop_sweep
"""
_ADMIN_ONE_RUN = "artifacts.delete_artifact controls.delete_run archive.restore_run"
_ADMIN_OWN = "retention.apply_retention retention.plan_retention retention.set_retention"
_ADMIN_ALL = """
    alerts.add_rule alerts.change_rule alerts.check_channel alerts.delete_rule audit.list_audit
    quotas.list_quotas quotas.set_project_quota quotas.set_token_quota
    registry.delete_version sweeps.delete_sweep
    archive.archive_now doctor.examine moving.export_runs moving.import_runs
    tokens.create_token tokens.list_tokens tokens.revoke_token workers.drain_worker
"""


def _rules() -> Iterator[tuple[str, Rule]]:
    for scope, reach, names in (
        (None, Reach.ANY, _OPEN),
        (Scope.READ, Reach.RUN, _READ_ONE_RUN),
        (Scope.READ, Reach.VIEW, _READ_OWN),
        (Scope.READ, Reach.ANY, _READ_SHARED),
        (Scope.READ, Reach.NONE, _READ_ALL),
        (Scope.SUBMIT, Reach.RUN, _WRITE_ONE_RUN),
        (Scope.SUBMIT, Reach.VIEW, _WRITE_OWN),
        (Scope.SUBMIT, Reach.NONE, _WRITE_ALL),
        (Scope.ADMIN, Reach.RUN, _ADMIN_ONE_RUN),
        (Scope.ADMIN, Reach.VIEW, _ADMIN_OWN),
        (Scope.ADMIN, Reach.NONE, _ADMIN_ALL),
    ):
        for name in names.split():
            yield name, Rule(scope, reach)


RULES: Final[Mapping[str, Rule]] = dict(_rules())
# Writes that are told in the audit log, besides all that need the scope admin.
AUDITED: Final = frozenset(
    (
        *("bulk.act_on_runs", "controls.cancel_run", "experiments.delete_note", "marks.delete_view"),
        "sweeps.stop_sweep",
    )
)


def rule_of(endpoint: str | None) -> Rule:
    """Return what a route asks for; None for a path that no route has."""
    return UNKNOWN_PATH if endpoint is None else RULES.get(endpoint, STRICTEST)


def is_audited(endpoint: str | None, method: str) -> bool:
    """Whether the audit log tells a request of this kind."""
    if endpoint is None or method in ("GET", "HEAD", "OPTIONS"):
        return False
    return endpoint in AUDITED or rule_of(endpoint).scope is Scope.ADMIN
