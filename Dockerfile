# Debian base: the scrubbing allocator is glibc's, so no Alpine.
# What containers run is compiled here (pip compiles what it installs): they may write nothing, and the official image
# comes without the bytecode of Python's own library, so that each start and each health check would compile it anew.
# By tag and not by digest: no registry of images can be reached where this is tested, so a digest would be one that nobody
# here has run. SECURITY.md, *What is installed*, says how to pin it.
FROM python:3.11-slim-bookworm AS python
ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN python -m compileall -q -x '/(tests?|(site|dist)-packages)/' \
  "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
WORKDIR /app

# Dependencies only. Every wheel is fetched once, by the hash that requirements.txt has for it; what is installed comes from
# there, and no index is asked any more. Each image then gets its half of them, and of the code, and no other.
FROM python AS dependencies
COPY pyproject.toml requirements.txt README.md LICENSE ./
RUN pip download --require-hashes --only-binary :all: --no-deps --dest /wheels --requirement requirements.txt \
 && mkdir producer worker && touch producer/__init__.py worker/__init__.py && python -m venv /venv
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels

FROM dependencies AS producer-dependencies
RUN /venv/bin/pip install ".[producer,otel]" && /venv/bin/pip uninstall --yes iamport-billing-key-worker

FROM dependencies AS web-dependencies
RUN /venv/bin/pip install ".[producer,web,otel]" && /venv/bin/pip uninstall --yes iamport-billing-key-worker

FROM dependencies AS worker-dependencies
RUN /venv/bin/pip install ".[worker,otel]" && /venv/bin/pip uninstall --yes iamport-billing-key-worker

FROM dependencies AS flower-dependencies
RUN /venv/bin/pip install ".[flower]" && /venv/bin/pip uninstall --yes iamport-billing-key-worker

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
