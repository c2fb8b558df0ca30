import { io } from "socket.io-client";
import { PROTOCOL, type HandshakeAuth } from "./events.ts";
import { Session, type Timing } from "./session.ts";

/** How to connect. */
export interface Options extends Timing {
  /** The session to come back to. Without it the server makes one, and `system:ready` says which. */
  session?: string;
  /** Who you are: a token, or a function that is asked at each attempt, for tokens that expire. One that fails is none. */
  token?: string | (() => string | undefined | Promise<string | undefined>);
  /** A model for this session instead of the server's. */
  model?: string;
  /** A provider key of your own, where the server takes them. */
  apiKey?: string;
  /** `observer` sees everything and changes nothing. */
  role?: NonNullable<HandshakeAuth["role"]>;
  /** Read the log from after this event on; `0-0` is all of it. */
  lastEventId?: string;
  /** The transports of socket.io-client, in the order in which they are tried. */
  transports?: ("websocket" | "polling")[];
}

/** Opens a session on the server at `url`. It connects at once, and comes back by itself when the connection breaks. */
export function connect(url: string, options: Options = {}): Session {
  const {
    session,
    token,
    model,
    apiKey,
    role,
    lastEventId,
    transports = ["websocket", "polling"],
    ...timing
  } = options;
  const open = (lastEventId: () => string | undefined) => {
    const socket = io(url, {
      forceNew: true,
      transports,
      tryAllTransports: true,
      reconnectionDelay: 300,
      reconnectionDelayMax: 5_000,
      query: present({ sessionId: session }),
      auth: (give) => {
        void asked(token).then((token) =>
          give({ protocol: PROTOCOL, ...present({ token, model, apiKey, role, lastEventId: lastEventId() }) }),
        );
      },
    });
    // Each attempt is a request of its own, and names the session as it is called by then.
    socket.on("system:ready", ({ sessionId }: { sessionId: string }) => {
      socket.io.opts.query = { sessionId };
    });
    return socket;
  };
  return new Session(open, lastEventId, timing);
}

async function asked(token: Options["token"]): Promise<string | undefined> {
  try {
    return typeof token === "function" ? await token() : token;
  } catch {
    return undefined;
  }
}

function present(fields: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
