"""Turns values of the official Airflow chart into values of this chart.

python -m scripts.from_official values.yaml > airdock.yaml    # the report is on standard error

Keys that convert.py does not know are dropped, with the reason from the chart's files/official-chart.yaml.
"""
