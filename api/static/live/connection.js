// The WebSocket, kept open: it comes back by itself, and a silent one counts as dead.

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 10_000;
// The server says something every five seconds.
const SILENCE_MS = 12_000;

// A page that was opened with a ticket got a pass for its own view: a browser sends no headers with a WebSocket, and an
// address would be logged.
const PASS = document.querySelector('meta[name="wattle-pass"]')?.content;
const PROTOCOLS = PASS ? ["wattle", `wattle.pass.${PASS}`] : [];

export class Connection {
  constructor(url, onMessage, onState) {
    this.url = url;
    this.onMessage = onMessage;
    this.onState = onState;
    this.waitMs = FIRST_WAIT_MS;
    this.open();
  }

  open() {
    this.socket = new WebSocket(this.url, PROTOCOLS);
    this.listen();
    this.socket.onmessage = (event) => {
      this.waitMs = FIRST_WAIT_MS;
      this.listen();
      this.onState("open");
      this.onMessage(JSON.parse(event.data));
    };
    this.socket.onclose = () => this.reopen();
  }

  listen() {
    clearTimeout(this.alarm);
    this.alarm = setTimeout(() => this.drop(), SILENCE_MS);
  }

  // A connection that hangs takes long to close: it is left, and another one opened.
  drop() {
    this.socket.onclose = this.socket.onmessage = null;
    this.socket.close();
    this.reopen();
  }

  reopen() {
    clearTimeout(this.alarm);
    this.onState("lost");
    // Up to 30 % more or less, so that not all come back at once after a restart.
    const waitMs = this.waitMs * (0.7 + 0.6 * Math.random());
    this.waitMs = Math.min(2 * this.waitMs, LONGEST_WAIT_MS);
    setTimeout(() => this.open(), waitMs);
  }
}
