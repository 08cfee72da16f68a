import time, random
import partita as pt

@pt.task(retries=2, retry_delay="2s")
def extract(source: str, ctx: pt.Context):
    print("extracting", source)
    for i in range(5):
        ctx.progress(i, 5, "reading")
        time.sleep(0.2)
    if source == "S3":
        raise ValueError(f"column 'x' is missing in {source}")
    return [source]

@pt.task
def transform(tables):
    return len(tables)

@pt.task
def quality(rows):
    pass

@pt.task
def train(n: int, ctx: pt.Context):
    for i in range(10):
        ctx.progress(i, 10, f"epoch {i}")
        time.sleep(0.3)

@pt.pipeline
def daily(region: str = "eu"):
    """The nightly of the shop."""
    t = transform(extract.map([f"S{i}" for i in range(12)]))
    quality(t)
    train(3)
