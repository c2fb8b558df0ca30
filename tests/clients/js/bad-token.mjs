// A client with a token that nobody gave it: it is told, it is disconnected, and it does not come again by itself.
import { Session, check, fail } from "./session.mjs";

const session = new Session(process.argv[2], { auth: { token: "made up" } });
const ended = new Promise((resolve) => session.socket.once("disconnect", resolve));
const told = await session.until("error");
check(typeof told.payload === "string" && told.payload.length > 0, `the reason is ${JSON.stringify(told.payload)}`);
const deadline = setTimeout(() => fail("it is still connected"), 10_000);
const reason = await ended;
clearTimeout(deadline);
check(reason === "io server disconnect", `it was disconnected by ${reason}, after which clients reconnect`);
check(!session.seen.some((event) => event.name === "system:ready"), "it got a session");
session.socket.disconnect();
