# chargen in a container, for one machine, SLURM or Kubernetes; `docs/machines.md` shows how to run it.
#   docker build --target cpu --tag chargen .
#   docker build --target gpu --tag chargen:gpu .
ARG PYTHON=3.11

# This image has a C compiler: the wheel holds the compiled recurrent layers.
FROM python:${PYTHON} AS wheel
WORKDIR /source
COPY pyproject.toml build_kernels.py README.md constraints.txt ./
COPY chargen chargen
COPY corpora corpora
COPY configs configs
COPY models models
RUN pip wheel --no-cache-dir --no-deps --constraint constraints.txt --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS base
COPY constraints.txt /tmp/
COPY --from=wheel /wheels /tmp/wheels
RUN useradd --create-home --uid 1000 chargen && mkdir /work && chown chargen /work
WORKDIR /work
ENTRYPOINT ["chargen"]
CMD ["--help"]

FROM base AS gpu
# JAX brings CUDA and cuDNN; the machine needs the driver and NVIDIA's container toolkit.
RUN chargen="$(echo /tmp/wheels/*.whl)" \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt "${chargen}[jax,remote]" 'jax[cuda12]>=0.10'
USER 1000

# The last one is built if no target is given.
FROM base AS cpu
RUN chargen="$(echo /tmp/wheels/*.whl)" \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt "${chargen}[jax,remote,serve]"
USER 1000
