# syntax=docker/dockerfile:1
# The worker: docker build --file deploy/docker/worker.Dockerfile --target cpu --tag wattle-worker:cpu .
#             docker build --file deploy/docker/worker.Dockerfile --target cuda --tag wattle-worker:cuda .
# For a build that is the same every time: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
WORKDIR /app
COPY . .

# torch without CUDA, 2 GB smaller; where the index has it, +cpu is newer to pip than the plain version.
FROM source AS build-cpu
RUN /opt/venv/bin/pip install --constraint constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu --editable '.[worker,alerts,otel]'

# torch from PyPI brings the CUDA libraries itself; the host gives the driver (NVIDIA Container Toolkit).
FROM source AS build-cuda
RUN /opt/venv/bin/pip install --constraint constraints.txt --editable '.[worker,alerts,otel]'

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
