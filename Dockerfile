# One image for every role: tickers, workers, the command line.
FROM python:3.13-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE pytest_jobistemer.py ./
COPY jobistemer jobistemer
COPY lua lua
RUN pip install --no-cache-dir .

# The application; replace it by yours, and [tool.jobistemer] in pyproject.toml with it.
COPY workers workers
RUN useradd --create-home jobistemer && install -d -o jobistemer /data
ENV QUICKSTART_DB=/data/quickstart.sqlite3
USER jobistemer

CMD ["jobistemer-worker", "-c", "8"]
