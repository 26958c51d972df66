"""The sensors: `alerts` tells a webhook what went wrong, `measures` writes what Prometheus reads. Neither launches a run."""

import dagster as dg

from vanc311_pipeline.orchestration.operations.alerts import tell
from vanc311_pipeline.orchestration.operations.prometheus import write_measures
from vanc311_pipeline.orchestration.resources import SettingsParam
from vanc311_pipeline.settings import Settings


def alerts_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor `alerts`; it is on from the start if there is a webhook, else off."""
    on = dg.DefaultSensorStatus.RUNNING if settings.alert_webhook else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=60,
        default_status=on,
        description="Tells VANC311_ALERT_WEBHOOK of every failed run of sync or prune, every newly held month, ticks that fail one after the "
        "other and a schedule that has asked the portal nothing for a day, once. What can't be delivered is tried again a minute later.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason | dg.SensorResult:
        if not settings.alert_webhook:
            return dg.SkipReason(
                "VANC311_ALERT_WEBHOOK isn't set, so nobody is told of anything. Set it and start Dagster again."
            )
        reason, cursor = tell(context.cursor, context.instance, settings)
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)

    return alerts


@dg.sensor(
    name="measures",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes measures.prom in the data directory once a minute, which the site passes on to Prometheus. Launches nothing.",
)
def measures(context: dg.SensorEvaluationContext, settings: SettingsParam) -> dg.SkipReason:
    write_measures(context.instance, settings)
    return dg.SkipReason("Measured. Nothing is ever launched from here.")
