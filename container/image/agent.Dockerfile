# The image of one agent: the common one, and what only this agent asks for on top.
ARG BASE_IMAGE
ARG COMMON_IMAGE

FROM ${BASE_IMAGE} AS builder
RUN python3 -m venv /build

FROM ${COMMON_IMAGE}
USER 0:0
ARG APT_PACKAGES=""
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt/lists,sharing=locked \
    set -eu; \
    if [ -n "${APT_PACKAGES}" ]; then \
        rm -f /etc/apt/apt.conf.d/docker-clean; \
        apt-get update -qq; \
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends ${APT_PACKAGES}; \
        find / -xdev -type f -perm /6000 -exec chmod a-s {} +; \
    fi
RUN --mount=type=bind,source=extra,target=/extra \
    --mount=type=bind,from=builder,source=/build,target=/build \
    --mount=type=cache,target=/root/.cache/pip \
    if [ -s /extra/requirements.txt ]; then \
        HOME=/root /build/bin/python -m pip --python /opt/roost/bin/python install --quiet \
            --disable-pip-version-check --root-user-action=ignore --no-index -f /extra -r /extra/requirements.txt; \
    fi
USER 10001:10001
