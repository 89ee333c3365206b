"""How much it rained in each quarter of 2014, counted in containers that know nothing of Airflow."""

import csv
import os
from pathlib import Path

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, task

DATA = Path(__file__).with_name("seattle-weather-2014.csv")
IMAGE = "python:3.13-slim"
# The last line that a container prints is its XCom.
SUM = "import os; print(round(sum(map(float, os.environ['RAIN'].split())), 1))"
# retrieve_output takes a pickle: a value with its type, not a line of text.
REPORT = """
import json, os, pickle
totals = dict(zip(["Q1", "Q2", "Q3", "Q4"], map(float, json.loads(os.environ["TOTALS"]))))
pickle.dump(totals, open("/tmp/report.pickle", "wb"))
"""


@task
def read() -> list[dict[str, str]]:
    """Give one environment per quarter: the container gets its rows in it."""
    rain: dict[int, list[str]] = {}
    with DATA.open() as file:
        for row in csv.DictReader(file):
            rain.setdefault((int(row["date"][5:7]) - 1) // 3, []).append(row["precipitation"])
    return [{"RAIN": " ".join(rain[quarter])} for quarter in range(4)]


@task.docker(image=IMAGE)
def wettest(totals: dict[str, float]) -> dict[str, str | float]:
    quarter = max(totals, key=lambda name: totals[name])
    return {"quarter": quarter, "mm": totals[quarter]}


@task
def check(answer: dict[str, str | float]) -> None:
    """The numbers went through environments, logs, a file and two pickles: they must be the right ones."""
    if answer != {"quarter": "Q1", "mm": 489.2}:
        raise ValueError(f"the wettest quarter came back as {answer}")


for queue in (queue for name, queue in os.environ.items() if name.startswith("AIRDOCK_DOCKER_QUEUE_")):
    with DAG(f"weather_docker_{queue}", schedule=None, default_args={"queue": queue}, tags=["airdock"]):
        # Every default as it is: among them a temporary directory that Airflow mounts into the container.
        DockerOperator(
            task_id="defaults",
            image=IMAGE,
            command=["sh", "-c", "echo 2014 > ${AIRFLOW_TMP_DIR:?}/year && cat /tmp/airflow/year"],
        )
        rain = DockerOperator.partial(task_id="rain", image=IMAGE, command=["python", "-c", SUM]).expand(
            environment=read()
        )
        report = DockerOperator(
            task_id="report",
            image=IMAGE,
            command=["python", "-c", REPORT],
            environment={"TOTALS": "{{ ti.xcom_pull(task_ids='rain') | tojson }}"},
            retrieve_output=True,
            retrieve_output_path="/tmp/report.pickle",  # noqa: S108
        )
        rain >> report
        check(wettest(report.output))
