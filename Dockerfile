# blockcast on Debian's nginx.
#
#   docker build -t blockcast .
#   docker run -p 8000:8000 -p 8080:8080 blockcast
#   docker run -p 8000:8000 -p 8080:8080 -e THEBLOCK_RPC_URL=http://node:9933 \
#       -v blockcast:/var/lib/blockcast blockcast
#
# The volume keeps what clients know (epoch, seq, log entries) over a restart.
# Takes the environment of conf/run, which is what it starts. Without
# THEBLOCK_RPC_URL it starts the simulated node, inside the container.

FROM debian:12 AS module

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        nginx nginx-dev gcc make libc6-dev libjq-dev libcbor-dev \
        libcjson-dev libhiredis-dev zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*

COPY config /src/config
COPY src /src/src
COPY conf/lib.sh /src/conf/lib.sh

RUN bash -c '. /src/conf/lib.sh && bc_build_module' \
    && strip --strip-debug /src/build/module/ngx_http_blockcast_module.so


FROM debian:12 AS web

RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates nodejs npm \
    && rm -rf /var/lib/apt/lists/*

COPY conf/lib.sh /src/conf/lib.sh
COPY web/package.json web/package-lock.json web/.npmrc /src/web/
RUN mkdir /src/build \
    && bash -c '. /src/conf/lib.sh && bc_npm_ci /src/web /src/build/npm.log'

COPY web /src/web
RUN bash -c '. /src/conf/lib.sh && bc_build_web'


FROM debian:12

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        nginx libjq1 libcbor0.8 libcjson1 libhiredis0.14 curl ca-certificates nodejs \
    && rm -rf /var/lib/apt/lists/* /var/log/nginx/* \
    && install -d -o www-data -g www-data /var/lib/blockcast

COPY conf /opt/blockcast/conf
COPY --from=web /src/web/dist /opt/blockcast/web/dist
COPY --from=module /src/build/module/ngx_http_blockcast_module.so \
     /usr/lib/nginx/modules/

ENV BLOCKCAST_MODULE=/usr/lib/nginx/modules/ngx_http_blockcast_module.so \
    BLOCKCAST_STATE=/var/lib/blockcast \
    BLOCKCAST_LOGS=stdio

# master and workers alike: the ports are above 1024
USER www-data

EXPOSE 8000 8080
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=10s --timeout=6s --start-period=20s \
    CMD ["/opt/blockcast/conf/run", "--health"]

ENTRYPOINT ["/opt/blockcast/conf/run"]
