"""Lints and renders the chart with Helm's own library, in a process of its own: `python render_chart.py CHART < values.json`.

Prints {"findings": [...], "manifests": {name: text}} or {"error": "..."}.
"""

from __future__ import annotations

import json
import sys

import helm_python as helm


def main() -> None:
    """Once."""
    chart, values = sys.argv[1], json.load(sys.stdin)
    found = helm.lint(chart, values, strict=True, namespace="flows")
    try:
        with helm.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            manifests = loaded.render(values, name="release", namespace="flows")
    except helm.HelmError as error:
        print(json.dumps({"error": str(error), "findings": found}))
        return
    print(json.dumps({"findings": found, "manifests": manifests}))


if __name__ == "__main__":
    main()
