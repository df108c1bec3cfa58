# The one place for Node's version, which every stage runs on. CI runs the tests on its major version, and on Node 20.
ARG NODE_IMAGE=node:24.21-bookworm-slim

# --- Everything that is needed to build, and only here.
FROM ${NODE_IMAGE} AS build
WORKDIR /build
# The dependencies first: as long as these files are the same, this layer is.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-progress
COPY tsconfig.json ./
COPY schemas ./schemas
COPY src ./src
RUN npm run build

# --- What is needed to run, and nothing that is needed to build.
FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-progress

# --- The image.
FROM ${NODE_IMAGE} AS service
LABEL org.opencontainers.image.title="private-message-service" \
      org.opencontainers.image.description="Sends a private message: one endpoint, stored in a MongoDB transaction" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app
# Owned by root and read by all: what runs here can change nothing of itself.
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE ./

# HOST: with its default, 127.0.0.1, nobody outside of the container could reach the service. Which ports are published is the
# operator's decision.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
EXPOSE 3000
# The base image has this user, who has no special rights.
USER node
# The service's own stop: what has arrived is answered, within 20 s. Give it 25 before it is killed.
STOPSIGNAL SIGTERM
# Live, not ready: an engine that restarts what is not ready would restart every instance whenever the database is away. For a
# minute, which is longer than a new connection has to wait while the service is only busy.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=6 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 3000) + '/health/live', { signal: AbortSignal.timeout(2000) }).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# As `npm start`, without npm between the signal and the service.
CMD ["node", "--max-semi-space-size=128", "dist/src/server.js"]
