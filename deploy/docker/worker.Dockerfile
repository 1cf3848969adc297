# syntax=docker/dockerfile:1
# The worker: docker build --file deploy/docker/worker.Dockerfile --target cpu --tag wattle-worker:cpu .
#             docker build --file deploy/docker/worker.Dockerfile --target cuda --tag wattle-worker:cuda .
# For a build that is the same every time: --build-arg PYTHON_IMAGE=python@sha256:...
# With a driver of an object store: --build-arg EXTRA_PACKAGES=... (docs/production.md has the packages).
ARG PYTHON_IMAGE=python:3.11.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /app
COPY . .

# torch without CUDA, 2 GB smaller; where the index has it, +cpu is newer to pip than the plain version.
FROM source AS build-cpu
ARG EXTRAS=worker,alerts,otel
RUN /opt/venv/bin/pip install --constraint constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu --editable ".[$EXTRAS]"
# Not constrained: drivers may want other versions of what nothing of Wattle minds (docs/artifacts.md).
ARG EXTRA_PACKAGES=""
# hadolint ignore=DL3013,SC2086
RUN if [ -n "$EXTRA_PACKAGES" ]; then /opt/venv/bin/pip install $EXTRA_PACKAGES; fi

# torch from PyPI brings the CUDA libraries itself; the host gives the driver (NVIDIA Container Toolkit).
FROM source AS build-cuda
ARG EXTRAS=worker,alerts,otel
RUN /opt/venv/bin/pip install --constraint constraints.txt --editable ".[$EXTRAS]"
ARG EXTRA_PACKAGES=""
# hadolint ignore=DL3013,SC2086
RUN if [ -n "$EXTRA_PACKAGES" ]; then /opt/venv/bin/pip install $EXTRA_PACKAGES; fi

FROM ${PYTHON_IMAGE} AS worker
# torch.compile needs a C compiler. Debian keeps no old versions that could be asked for.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data wattle \
    && install --directory --owner wattle --group wattle /data
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 WATTLE_DATA_DIR=/data
WORKDIR /app
USER 10001:10001
VOLUME /data
HEALTHCHECK --interval=60s --timeout=20s --start-period=90s CMD ["python", "deploy/docker/healthy.py", "worker"]
# Stopping takes 12 s at most: docker stop --time 30.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "worker.py"]

FROM worker AS cpu
COPY --from=build-cpu /opt/venv /opt/venv
COPY --from=build-cpu /app /app

FROM worker AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /opt/venv /opt/venv
COPY --from=build-cuda /app /app
