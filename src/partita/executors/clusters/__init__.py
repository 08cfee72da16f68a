"""Existing engines (Dask, Ray, Kubernetes, Slurm) as executors."""
