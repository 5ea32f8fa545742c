# Waypost with its embedded engines in one container. Written with care; not run where it was written.
#
#   docker build -t waypost .
#   docker run -p 8080:8080 -p 127.0.0.1:8081:8081 -v waypost:/data --stop-timeout 90 waypost

# Debian, because the embedded engines are built against glibc.
FROM node:26-bookworm-slim AS dependencies
WORKDIR /opt/waypost
COPY package.json package-lock.json ./
# The image brings Node 26 itself.
RUN npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/node-linux-*

FROM node:26-bookworm-slim
# PostgreSQL refuses to run as root, and in a container namespaces are usually refused too: an ordinary user from the start.
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin waypost \
  && install -d -o waypost -g waypost -m 0700 /data /opt/waypost-compiled
WORKDIR /opt/waypost
COPY --from=dependencies /opt/waypost/node_modules ./node_modules
COPY package.json package-lock.json ./
COPY migrations ./migrations
COPY sdk ./sdk
COPY src ./src
USER waypost
ENV WAYPOST_DATA_DIR=/data WAYPOST_API_HOST=0.0.0.0 NODE_COMPILE_CACHE=/opt/waypost-compiled
# Fills what Node keeps of compiled sources, for this user: each start is a second shorter.
RUN node src/main.ts --help > /dev/null
VOLUME /data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# The image has Node 26: no bootstrap is needed, and signals arrive directly.
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve"]
