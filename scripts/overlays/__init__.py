"""The Kustomize overlays: made from the chart, so that they are the chart.

    python -m scripts.overlays              # write overlays/ anew (make overlays)
    python -m scripts.overlays check DIR    # report what an overlay of yours leaves stale or does not change

`definitions` says which overlays and components there are and with which values each is rendered, `generate`
turns the difference between two renders into a Kustomize component, `check` judges somebody's overlay.
"""
