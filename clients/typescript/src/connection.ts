import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";

import { type CallOptions, type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { fromWire, RegsvcError } from "./errors.js";
import { ArtifactService } from "./gen/regsvc/v1/artifact_pb.js";
import { BuildService } from "./gen/regsvc/v1/build_pb.js";
import { CapabilitiesService, type Capabilities } from "./gen/regsvc/v1/capabilities_pb.js";
import { EventService } from "./gen/regsvc/v1/event_pb.js";
import { Patience } from "./resume.js";

/** Milliseconds to wait for a server that went away: a restart with recovery fits in. */
const DEFAULT_PATIENCE = 90_000;
/** Milliseconds to wait for a server that has never answered: a wrong address should not take a minute to tell. */
const FIRST_CONTACT = 5_000;
/** Milliseconds for one attempt of a unary call. */
const CALL_TIMEOUT = 30_000;
const STREAM_WINDOW = 4 << 20;
const SESSION_WINDOW = 16 << 20;

/** How a client behaves. */
export interface ConnectOptions {
  /** Milliseconds without progress after which a server that is away is given up. Default 90,000. */
  readonly patience?: number;
}

/** One HTTP/2 connection to a server, made anew when it breaks, and the services on it. */
export class Connection {
  readonly artifacts: Client<typeof ArtifactService>;
  readonly builds: Client<typeof BuildService>;
  readonly events: Client<typeof EventService>;
  private readonly capabilitiesService: Client<typeof CapabilitiesService>;
  private readonly session: WideSession;
  private answered = false;
  private known: Promise<Capabilities> | undefined;

  /** `target` is `host:port`. Nothing is sent before the first call. */
  constructor(
    readonly target: string,
    private readonly options: ConnectOptions = {},
  ) {
    const baseUrl = urlOf(target);
    this.session = new WideSession(baseUrl, {}, { settings: { initialWindowSize: STREAM_WINDOW } });
    const noteAnswer: Interceptor = (next) => async (request) => {
      const response = await next(request);
      this.answered = true;
      return response;
    };
    const transport = createGrpcTransport({ baseUrl, sessionManager: this.session, interceptors: [noteAnswer] });
    this.artifacts = createClient(ArtifactService, transport);
    this.builds = createClient(BuildService, transport);
    this.events = createClient(EventService, transport);
    this.capabilitiesService = createClient(CapabilitiesService, transport);
  }

  /** The server's limits, asked for once. */
  capabilities(): Promise<Capabilities> {
    this.known ??= this.call((options) => this.capabilitiesService.getCapabilities({}, options)).then(
      (response) => required(response.capabilities, "capabilities"),
      (error: unknown) => {
        this.known = undefined;
        throw error;
      },
    );
    return this.known;
  }

  /** Milliseconds without a message after which a stream with heartbeats is dead: three of their intervals. */
  async silence(): Promise<number> {
    return 3 * (await this.capabilities()).heartbeatIntervalMs;
  }

  /** Make one unary call, again and again while the server is away. */
  async call<T>(attempt: (options: CallOptions) => Promise<T>, timeoutMs = CALL_TIMEOUT): Promise<T> {
    const patience = this.patience();
    for (;;) {
      try {
        return await attempt({ timeoutMs });
      } catch (error) {
        await patience.wait(fromWire(error));
      }
    }
  }

  /** Fresh patience for one call or stream. */
  patience(): Patience {
    const limit = this.options.patience ?? DEFAULT_PATIENCE;
    return new Patience(() => (this.answered ? limit : Math.min(limit, FIRST_CONTACT)));
  }

  /** Close the connection; calls under way fail. */
  close(): void {
    this.session.abort();
  }
}

/** A field that the contract says is set. Throws INTERNAL when it is not. */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new RegsvcError("INTERNAL", `the server's answer has no ${what}`);
  return value;
}

/**
 * A session whose connection-wide receive window is wide enough for bulk data. Node leaves it at HTTP/2's 64 KiB
 * whatever the settings say (they govern single streams), which made downloads 2.5 times slower.
 */
class WideSession extends Http2SessionManager {
  private readonly widened = new WeakSet<ClientHttp2Session>();

  override async request(...args: Parameters<Http2SessionManager["request"]>): Promise<ClientHttp2Stream> {
    const stream = await super.request(...args);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session !== undefined && !session.destroyed && !this.widened.has(session)) {
      this.widened.add(session);
      session.setLocalWindowSize(SESSION_WINDOW);
    }
    return stream;
  }
}

function urlOf(target: string): string {
  // A URL without a port would mean 80, silently.
  if (!/^(?:[^\s:/?#@[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/.test(target) || !URL.canParse(`http://${target}`)) {
    throw new RegsvcError("NAME_INVALID", `bad server ${JSON.stringify(target)}: expected host:port`);
  }
  return `http://${target}`;
}
