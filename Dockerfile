# An image for each service, with the packages of that service alone: `docker build --target storage .`
# BASE needs python3 ≥ 3.11 with its venv module.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS base
ENV PATH=/opt/waybill/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN python3 -m venv /opt/waybill

# Every package at its locked version, checked by its hash; and our own.
FROM base AS wheels
WORKDIR /build
COPY requirements.lock ./
RUN pip wheel --no-cache-dir --require-hashes --requirement requirements.lock --wheel-dir /wheels
COPY pyproject.toml README.md LICENSE ./
COPY examples ./examples
COPY supabase ./supabase
COPY services ./services
COPY waybill ./waybill
RUN pip install --no-cache-dir --no-index --find-links /wheels hatchling editables \
    && pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /wheels .

# Below, no index is asked: /wheels has one version of each package, so none is named.
# hadolint global ignore=DL3013
FROM base AS service
ENV PIP_FIND_LINKS=/wheels PIP_NO_CACHE_DIR=1 PIP_NO_INDEX=1
RUN useradd --system --uid 10001 --no-create-home waybill

FROM service AS storage
RUN --mount=from=wheels,source=/wheels,target=/wheels pip install 'waybill[storage,auth]' \
    && install --directory --owner=waybill --mode=0700 /var/lib/waybill/objects
ENV WAYBILL_OBJECTS_DIR=/var/lib/waybill/objects
USER 10001
CMD ["python", "-P", "-m", "waybill.stack.service", "storage"]

FROM service AS parser
RUN --mount=from=wheels,source=/wheels,target=/wheels pip install 'waybill[parser,llamaparse,auth]'
USER 10001
CMD ["python", "-P", "-m", "waybill.stack.service", "parser"]

FROM service AS embedder
RUN --mount=from=wheels,source=/wheels,target=/wheels pip install 'waybill[embedder,auth]'
USER 10001
CMD ["python", "-P", "-m", "waybill.stack.service", "embedder"]

FROM service AS ledger
RUN --mount=from=wheels,source=/wheels,target=/wheels pip install 'waybill[ledger,auth]'
USER 10001
CMD ["python", "-P", "-m", "waybill.stack.service", "ledger"]

FROM service AS orchestrator
RUN --mount=from=wheels,source=/wheels,target=/wheels pip install 'waybill[orchestrator,auth]'
USER 10001
CMD ["python", "-P", "-m", "waybill.stack.service", "orchestrator"]

# Brings the database up to date, also the tables of the orchestrator's engine.
FROM orchestrator AS migrate
CMD ["python", "-P", "-m", "waybill.stack.migrate"]
