// One question by voice: the microphone to /ws/voice, the spoken answer to the loudspeaker.
//
// Loaded when the button is pressed for the first time. The server ends the question when it hears
// silence; the answer's text is followed like any other turn of the session.
const START_S = 0.15; // of sound in hand before it is played: pieces do not come evenly
const RESUMES_MAX = 5;
const RESUME_AFTER_MS = 400;

/**
 * @typedef {object} Told
 * @property {(state: "listening" | "thinking" | "speaking" | "off", detail?: string) => void} state
 * @property {(text: string) => void} partial what is understood so far
 * @property {(turn: {sid: string, turnId: string, message: string}) => void} turn a turn began
 */

/**
 * Listen for a question in a session (null: a new one) and speak its answer. What comes back can be
 * stopped at any time, also while the user is still asked for the microphone.
 * @returns {Talk}
 */
export function talk(sid, told) {
  const talking = new Talk(told);
  talking.begin(sid);
  return talking;
}

class Talk {
  /** @param {Told} told */
  constructor(told) {
    this.told = told;
    this.player = new Player();
    this.turn = null;
    this.last = 0;
    this.heard = 0;
    this.resumes = 0;
    this.over = false;
  }

  async begin(sid) {
    try {
      await this.listen(sid);
    } catch {
      this.stop("refused"); // whatever it was: nothing may stay open
    }
  }

  async listen(sid) {
    this.context = new AudioContext();
    this.player.context = this.context;
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    if (this.over) {
      this.silence(); // granted after the user had thought better of it
      return;
    }
    await this.context.audioWorklet.addModule(new URL("./voice-worklet.js", import.meta.url));
    if (this.over) return;
    const capture = new AudioWorkletNode(this.context, "capture");
    capture.port.onmessage = ({ data }) => this.send(data);
    const microphone = this.context.createMediaStreamSource(this.stream);
    this.open({
      type: "start", language: "", audio: { format: "pcm_s16le", rate_hz: this.context.sampleRate },
      ...(sid ? { session_id: sid } : {}),
    }, () => {
      this.told.state("listening");
      microphone.connect(capture);
    });
  }

  /** Say that the question is over, without waiting for silence. */
  end() {
    this.send(JSON.stringify({ type: "end" }));
  }

  /** Stop listening and speaking. */
  stop(detail = "") {
    if (this.over) return;
    this.over = true;
    this.silence();
    this.player.stop();
    this.socket?.close();
    this.context?.close();
    this.told.state("off", detail);
  }

  open(first, opened = () => {}) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/ws/voice`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.send(JSON.stringify(first));
      opened();
    };
    this.socket.onmessage = ({ data }) => {
      if (typeof data === "string") this.take(JSON.parse(data));
      else this.player.add(data);
    };
    this.socket.onclose = () => this.closed();
  }

  send(data) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  /** The pod is gone: another one has the turn, and says what of it was not heard. */
  closed() {
    if (this.over) return;
    if (!this.turn || this.resumes >= RESUMES_MAX) {
      this.stop("lost");
      return;
    }
    this.resumes += 1;
    this.player.dropUnfinished();
    setTimeout(() => !this.over && this.open({
      type: "resume", session_id: this.turn.sid, turn_id: this.turn.turnId, after: this.last,
      spoken: this.heard,
    }), RESUME_AFTER_MS * this.resumes);
  }

  take(message) {
    if (message.seq) this.last = message.seq;
    switch (message.type) {
      case "transcript":
        this.told.partial(message.text);
        if (!message.final) break;
        this.silence();
        if (message.text) this.told.state("thinking");
        else this.stop("nothing");
        break;
      case "turn":
        this.turn = { sid: message.session_id, turnId: message.turn_id, message: message.message };
        this.told.turn(this.turn);
        break;
      case "audio":
        this.told.state("speaking");
        this.player.sentence(message.rate_hz);
        this.end_ = message.end;
        break;
      case "audio_end":
        this.heard = this.end_;
        this.player.finish();
        break;
      case "spoken":
      case "audio_stop":
        this.player.whenPlayed(() => this.stop());
        break;
      case "error":
        if (!this.turn || message.code === "speech_failed") this.stop(message.message);
        break;
      case "reconnect":
        this.socket.close();
        break;
    }
  }

  silence() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }
}

/** Plays sentences one behind the other. */
class Player {
  constructor() {
    this.context = null;
    this.pieces = [];
    this.rateHz = 0;
    this.until = 0;
    this.playing = new Set();
    this.played = null;
  }

  sentence(rateHz) {
    this.rateHz = rateHz;
    this.pieces = [];
  }

  add(data) {
    this.pieces.push(new Int16Array(data));
  }

  /** A sentence is whole: half of one would be said twice after a resume. */
  finish() {
    const length = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (!length) return;
    const buffer = this.context.createBuffer(1, length, this.rateHz);
    const samples = buffer.getChannelData(0);
    let at = 0;
    for (const piece of this.pieces) {
      for (const sample of piece) samples[at++] = sample / 0x8000;
    }
    this.pieces = [];
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    source.onended = () => {
      this.playing.delete(source);
      if (!this.playing.size) this.played?.();
    };
    this.playing.add(source);
    this.until = Math.max(this.until, this.context.currentTime + START_S);
    source.start(this.until);
    this.until += buffer.duration;
  }

  dropUnfinished() {
    this.pieces = [];
  }

  whenPlayed(then) {
    if (this.playing.size) this.played = then;
    else then();
  }

  stop() {
    this.played = null;
    for (const source of this.playing) source.stop();
    this.playing.clear();
  }
}
