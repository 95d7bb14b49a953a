# What the chart takes from elsewhere (redis, haproxy, apache/kafka), made of Debian's packages and
# the broker's jars, for clusters that reach no registry. The chart passes its own commands and
# configuration, so that both run the same. scripts/node_images.sh builds the stages.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS redis
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
USER 999:999
CMD ["redis-server"]

FROM ${BASE} AS haproxy
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
USER 99:99
CMD ["haproxy", "-v"]

FROM ${BASE} AS kafka
# The package of Java links its manual pages, which a slim base lacks the folder of.
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        default-jre-headless \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY .kafka/4.1.0 /opt/kafka/libs
USER 1000:1000
CMD ["java", "-version"]
