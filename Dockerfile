# One process, one volume. `docker build -t regsvc .` and `docker run -p 7070:7070 -v regsvc:/var/lib/regsvc regsvc`

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src src
RUN python -m venv /opt/regsvc && \
    /opt/regsvc/bin/python -m pip install --no-cache-dir --constraint requirements.lock .

FROM python:3.11.14-slim-bookworm
RUN groupadd --system --gid 10001 regsvc && \
    useradd --system --uid 10001 --gid regsvc --no-create-home --shell /usr/sbin/nologin regsvc && \
    install --directory --owner=regsvc --group=regsvc /var/lib/regsvc
COPY --from=build /opt/regsvc /opt/regsvc
COPY --chmod=0555 tools/probe.py /opt/regsvc/bin/regsvc-probe
ENV PATH=/opt/regsvc/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REGSVC_DATA=/var/lib/regsvc \
    REGSVC_LISTEN=0.0.0.0:7070
USER regsvc
VOLUME /var/lib/regsvc
EXPOSE 7070
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "/opt/regsvc/bin/regsvc-probe", "127.0.0.1:7070"]
ENTRYPOINT ["regsvc"]
CMD ["serve"]
