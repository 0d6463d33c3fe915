# syntax=docker/dockerfile:1

FROM python:3.11-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# `demo` brings learning and the demo's data, `live` what speaks to exchanges, `postgres` the drivers for a desk whose
# store is a server.
ARG EXTRAS=demo,live,postgres

RUN python -m venv /opt/whydesk
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY configs configs
COPY engine engine
COPY knowledge knowledge
COPY explain explain
COPY bot bot
COPY jobs jobs
RUN /opt/whydesk/bin/pip install --constraint constraints.txt ".[${EXTRAS}]"


FROM python:3.11-slim-bookworm

# The wheels carry their own C libraries: nothing comes from the system's packages.
RUN useradd --system --uid 10001 --user-group --home-dir /srv/whydesk --create-home whydesk \
    && install --directory --owner whydesk --group whydesk --mode 0700 /srv/whydesk/var

COPY --from=build /opt/whydesk /opt/whydesk

# One thread per process is fastest for small models, and a desk shares its machine.
ENV PATH=/opt/whydesk/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1

USER 10001:10001
WORKDIR /srv/whydesk
# Everything the desk keeps: store, models, reports. Keys are never in the image; they come from the environment.
VOLUME ["/srv/whydesk/var"]

# Healthy: the store can be read. A halted desk is healthy, and so is one that has not begun.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["whydesk", "status", "--json"]

ENTRYPOINT ["whydesk"]
CMD ["demo"]
