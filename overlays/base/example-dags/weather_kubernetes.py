"""The hottest days of 2014, found in pods: KubernetesPodOperator as its documentation shows it."""

import csv
import os
from pathlib import Path

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, task

DATA = Path(__file__).with_name("seattle-weather-2014.csv")
IMAGE = "python:3.13-slim"
# A pod gives its result as JSON in this file; a sidecar hands it to Airflow.
HOTTEST = """
import json, os
days = [line.split() for line in os.environ["DAYS"].splitlines()]
day, celsius = max(days, key=lambda day: float(day[1]))
json.dump({"day": day, "celsius": float(celsius)}, open("/airflow/xcom/return.json", "w"))
"""


@task
def read() -> dict[str, dict[str, str]]:
    """Give one environment per season: the pod gets its days in it, "2014/07/01 33.9" in each line."""
    seasons = {"spring": "03 04 05", "summer": "06 07 08"}
    with DATA.open() as file:
        rows = list(csv.DictReader(file))
    return {
        season: {
            "DAYS": "\n".join(
                f"{row['date']} {row['temp_max']}" for row in rows if row["date"][5:7] in months
            )
        }
        for season, months in seasons.items()
    }


@task
def check(answers: list[dict[str, str | float]]) -> None:
    expected = [{"day": "2014/08/11", "celsius": 35.6}, {"day": "2014/05/01", "celsius": 29.4}]
    if list(answers) != expected:
        raise ValueError(f"the hottest days came back as {list(answers)}")


for queue in (queue for name, queue in os.environ.items() if name.startswith("AIRDOCK_KUBERNETES_QUEUE_")):
    with DAG(f"weather_kubernetes_{queue}", schedule=None, default_args={"queue": queue}, tags=["airdock"]):
        days = read()
        pod = {"image": IMAGE, "cmds": ["python", "-c", HOTTEST], "do_xcom_push": True}
        summer = KubernetesPodOperator(task_id="summer", env_vars=days["summer"], **pod)
        # Deferrable: while the pod runs, the triggerer waits for it and the worker's slot is free.
        spring = KubernetesPodOperator(task_id="spring", env_vars=days["spring"], deferrable=True, **pod)
        check([summer.output, spring.output])

        KubernetesPodOperator.partial(task_id="mapped", image="busybox:1.37", cmds=["echo"]).expand(
            arguments=[["one"], ["two"]]
        )
