# A worker, and everything else of mendsearch: `docker build -t mendsearch-worker .`
# The CUDA libraries come with PyTorch's wheels; the driver is the host's, lent by the NVIDIA container toolkit.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /source
RUN python -m venv /opt/mendsearch
ENV PATH=/opt/mendsearch/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# torch first and alone, so that a change of mendsearch does not fetch it again
COPY constraints.txt ./
RUN pip install -c constraints.txt torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY mendsearch mendsearch
COPY storage/mendstore storage/mendstore
COPY dashboards/mendview dashboards/mendview
RUN pip install -c constraints.txt ".[torch,s3]"

FROM ${PYTHON}
# the user that `mendsearch launch --backend kubernetes` runs a worker as
RUN useradd --uid 10001 --user-group --no-log-init --create-home --home-dir /var/lib/mendsearch mendsearch
COPY --from=build /opt/mendsearch /opt/mendsearch
# threads that wait by spinning slow every other worker of the machine
ENV PATH=/opt/mendsearch/bin:$PATH HOME=/var/lib/mendsearch PYTHONUNBUFFERED=1 OMP_WAIT_POLICY=PASSIVE \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
# blobs and results that wait for the database
VOLUME /var/lib/mendsearch
WORKDIR /var/lib/mendsearch
CMD ["mendsearch", "--help"]
