# Debian base: the scrubbing allocator is glibc's, so no Alpine.
# What containers run is compiled here (pip compiles what it installs): they may write nothing, and the official image
# comes without the bytecode of Python's own library, so that each start and each health check would compile it anew.
FROM python:3.11-slim-bookworm AS python
ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN python -m compileall -q -x '/(tests?|(site|dist)-packages)/' \
  "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
WORKDIR /app

# Dependencies only, pinned by requirements.txt; each image then gets its half of the code and no other.
FROM python AS dependencies
COPY pyproject.toml requirements.txt README.md LICENSE ./
RUN mkdir producer worker && touch producer/__init__.py worker/__init__.py

FROM dependencies AS producer-dependencies
RUN python -m venv /venv && /venv/bin/pip install -c requirements.txt ".[producer]" \
 && /venv/bin/pip uninstall --yes iamport-billing-key-worker

FROM dependencies AS web-dependencies
RUN python -m venv /venv && /venv/bin/pip install -c requirements.txt ".[producer,web]" \
 && /venv/bin/pip uninstall --yes iamport-billing-key-worker

FROM dependencies AS worker-dependencies
RUN python -m venv /venv && /venv/bin/pip install -c requirements.txt ".[worker]" \
 && /venv/bin/pip uninstall --yes iamport-billing-key-worker

FROM dependencies AS flower-dependencies
RUN python -m venv /venv && /venv/bin/pip install -c requirements.txt ".[flower]" \
 && /venv/bin/pip uninstall --yes iamport-billing-key-worker

FROM python AS base
ENV PATH=/venv/bin:$PATH
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin billing \
 && mkdir /demo && chown billing /demo
USER billing

FROM python AS code
COPY celeryconfig.py ./
COPY producer producer
COPY worker worker
COPY tests/__init__.py tests/
COPY tests/fake_iamport tests/fake_iamport
RUN python -m compileall -q .

FROM base AS producer
COPY --from=producer-dependencies /venv /venv
COPY --from=code /app/producer /app/producer
ENTRYPOINT ["python", "-m", "producer"]
CMD ["--help"]

FROM base AS web
COPY --from=web-dependencies /venv /venv
COPY --from=code /app/producer /app/producer
ENTRYPOINT ["python", "-m", "producer"]
CMD ["serve"]

FROM base AS worker
COPY --from=worker-dependencies /venv /venv
COPY --from=code /app/celeryconfig.py /app/
COPY --from=code /app/producer/__init__.py /app/producer/
COPY --from=code /app/producer/contract /app/producer/contract
COPY --from=code /app/producer/runtime /app/producer/runtime
COPY --from=code /app/worker /app/worker
ENTRYPOINT ["python", "-m", "worker"]
CMD ["run", "--events"]

FROM base AS flower
COPY --from=flower-dependencies /venv /venv
COPY flowerconfig.py ./
ENTRYPOINT ["celery"]

FROM base AS fake-iamport
COPY --from=worker-dependencies /venv /venv
COPY --from=code /app/tests /app/tests
ENTRYPOINT ["python", "-m", "tests.fake_iamport"]
