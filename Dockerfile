# One image for every role: tickers, workers, the command line. Base images are named by digest, packages by hash
# (`make lock`); `make sbom` lists what is inside.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build

WORKDIR /src
COPY requirements/build.txt requirements/
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements/build.txt
COPY pyproject.toml README.md LICENSE jobistemer_start.py pytest_jobistemer.py ./
COPY jobistemer jobistemer
COPY lua lua
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist .

FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

# A user by number, so that an orchestrator can see that it is not root.
RUN useradd --uid 10001 --create-home jobistemer && install -d -o jobistemer /data
WORKDIR /app
COPY requirements/image.txt requirements/
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements/image.txt
COPY --from=build /dist /dist
RUN pip install --no-cache-dir --no-deps /dist/*.whl && rm -r /dist

# The application; replace it by yours, and [tool.jobistemer] in pyproject.toml with it.
COPY pyproject.toml ./
COPY workers workers
ENV QUICKSTART_DB=/data/quickstart.sqlite3 PYTHONDONTWRITEBYTECODE=1
USER 10001

# Tickers and workers answer here with --health-port 8080; a container of another command has no health check.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
CMD ["jobistemer-worker", "-c", "8", "--health-port", "8080"]
