# One image for the five services and the migrate job; docker-compose.yml says which one runs.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
RUN python -m venv /opt/waybill
COPY requirements.lock ./
RUN /opt/waybill/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY waybill ./waybill
COPY services ./services
COPY supabase ./supabase
COPY examples ./examples
RUN /opt/waybill/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
RUN useradd --system --uid 10001 --no-create-home waybill \
    && install --directory --owner=waybill --mode=0700 /var/lib/waybill/objects
COPY --from=build /opt/waybill /opt/waybill
ENV PATH=/opt/waybill/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    WAYBILL_OBJECTS_DIR=/var/lib/waybill/objects
USER 10001
CMD ["waybill", "--help"]
