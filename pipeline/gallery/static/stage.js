// Two pictures held against each other: slider, side by side, blink; zoom and pan for both at once.
"use strict";

(function () {
  const { part } = gallery;
  const { make } = part;
  const SETTLED_MS = 120; // who leafs through quickly is shown previews only
  const BLINK_MS = 700;
  const MOST = 16; // times the size that fits, or the picture's own pixels if that is more

  /** One picture: its preview at once, the full size when somebody stays. */
  class Pane {
    constructor(name, changed) {
      this.changed = changed;
      this.image = make("img", { alt: "", draggable: false, decoding: "async" });
      this.words = make("p", { class: "words" });
      this.element = make(
        "div",
        { class: `pane ${name}` },
        this.image,
        this.words,
        make("span", { class: "label" }, name),
      );
      this.image.addEventListener("load", () => this.changed());
      this.image.addEventListener("error", () => this.failed());
    }

    /** `picture`: {thumb, src, remote, name, alt} or null; `otherwise`: words without one. */
    show(picture, otherwise) {
      clearTimeout(this.timer);
      this.picture = picture;
      this.full = false;
      this.natural = null;
      this.words.replaceChildren();
      const preview = part.thumb(picture?.thumb);
      const source = part.address(picture?.src);
      this.image.alt = picture?.alt ?? "";
      if (preview) this.image.src = preview;
      else this.image.removeAttribute("src");
      if (!picture) this.words.append(otherwise);
      else if (picture.remote || part.isElsewhere(source)) this.offer(source, preview);
      else if (source) this.timer = setTimeout(() => this.load(source), SETTLED_MS);
      else if (!preview) this.words.append("There is no preview of this picture.");
      this.changed();
    }

    /** A picture on somebody's server: fetched when asked for, and only then. */
    offer(source, preview) {
      if (!source) {
        if (!preview) this.words.append("There is no preview of this picture.");
        return;
      }
      const host = new URL(source, document.baseURI).host;
      this.words.append(
        part.button(`Load from ${host}`, () => {
          this.words.replaceChildren();
          this.load(source);
        }),
      );
    }

    load(source) {
      const full = new Image();
      const picture = this.picture;
      full.referrerPolicy = "no-referrer";
      full.src = source;
      full.decode().then(
        () => {
          if (this.picture !== picture) return;
          this.full = true;
          this.natural = [full.naturalWidth, full.naturalHeight];
          this.image.src = source;
        },
        () => {
          if (this.picture !== picture) return;
          const seen = this.image.naturalWidth > 0;
          this.words.replaceChildren(
            seen
              ? "A preview: the full size is missing, or this browser cannot show it."
              : "This picture is missing, or this browser cannot show it.",
          );
          this.words.classList.toggle("low", seen);
        },
      );
      this.words.classList.remove("low");
    }

    failed() {
      if (!this.image.getAttribute("src")) return;
      this.image.removeAttribute("src");
      if (!part.address(this.picture?.src)) this.words.append("The preview is missing.");
      this.changed();
    }

    /** [width, height] in pixels of the picture itself, as far as it is known. */
    get size() {
      if (this.natural) return this.natural;
      const { naturalWidth: w, naturalHeight: h } = this.image;
      return w && h ? [w, h] : null;
    }
  }

  class Stage {
    constructor({ moded }) {
      this.moded = moded;
      this.mode = "slider";
      this.split = 0.5;
      this.zoomed = 1;
      this.centre = [0.5, 0.5];
      this.before = new Pane("before", () => this.layout());
      this.after = new Pane("after", () => this.layout());
      this.handle = make("div", {
        class: "handle",
        role: "slider",
        tabIndex: 0,
        "aria-label": "Boundary between before and after",
        "aria-orientation": "horizontal",
        "aria-valuemin": 0,
        "aria-valuemax": 100,
      });
      this.element = make(
        "div",
        { class: "stage", "data-mode": this.mode },
        this.before.element,
        this.after.element,
        this.handle,
      );
      this.pointers = new Map();
      this.element.addEventListener("pointerdown", (event) => this.pressed(event));
      this.element.addEventListener("pointermove", (event) => this.dragged(event));
      for (const end of ["pointerup", "pointercancel"]) {
        this.element.addEventListener(end, (event) => this.released(event));
      }
      this.element.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
      this.element.addEventListener("dblclick", (event) => {
        if (!event.target.closest("button, .handle")) this.zoom(event);
      });
      this.handle.addEventListener("keydown", (event) => this.slid(event));
      new ResizeObserver(() => this.layout()).observe(this.element);
    }

    /** Shows two pictures, or words where there is none; `keep` leaves zoom and place as they are. */
    show(before, after, { nothing = "", none = "", keep = false } = {}) {
      if (!keep) {
        this.zoomed = 1;
        this.centre = [0.5, 0.5];
      }
      this.hold(false);
      this.before.show(before, none);
      this.after.show(after, nothing);
      this.element.classList.toggle("single", !before || !after);
    }

    setMode(mode) {
      this.mode = mode;
      this.element.dataset.mode = mode;
      this.blink(mode === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches);
      this.layout();
      this.moded();
    }

    // --- blink

    /** Automatic blinking on or off. */
    blink(on) {
      clearInterval(this.blinking);
      this.blinking = on ? setInterval(() => this.flip(), BLINK_MS) : 0;
      if (!on) this.element.classList.remove("flipped");
    }

    flip() {
      this.element.classList.toggle("flipped");
    }

    /** While held, the picture before is shown, whatever the mode. */
    hold(on) {
      this.element.classList.toggle("held", on);
    }

    // --- where the pictures lie

    layout() {
      const boxes = [this.before, this.after].map((pane) => this.place(pane));
      if (this.mode !== "slider") {
        this.before.element.style.clipPath = "";
        this.after.element.style.clipPath = "";
        return;
      }
      const width = this.element.clientWidth;
      const box = boxes[1] ?? boxes[0] ?? [0, width];
      const left = Math.max(0, box[0]);
      const right = Math.min(width, box[1]);
      this.range = [left, right];
      const x = left + this.split * (right - left);
      this.before.element.style.clipPath = `inset(0 ${width - x}px 0 0)`;
      this.after.element.style.clipPath = `inset(0 0 0 ${x}px)`;
      this.handle.style.transform = `translateX(${x}px)`;
      const percent = Math.round(this.split * 100);
      this.handle.setAttribute("aria-valuenow", percent);
      this.handle.setAttribute("aria-valuetext", `${percent} percent before`);
    }

    /** Puts a picture into its pane; returns its [left, right], null without a picture. */
    place(pane) {
      const { size } = pane;
      const { clientWidth: width, clientHeight: height } = pane.element;
      if (!size || !width) return null;
      const fit = Math.min(width / size[0], height / size[1]);
      const [w, h] = [size[0] * fit * this.zoomed, size[1] * fit * this.zoomed];
      const along = (centre, room, length) =>
        length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, room / 2 - centre * length));
      const [x, y] = [along(this.centre[0], width, w), along(this.centre[1], height, h)];
      const { style } = pane.image;
      style.width = `${w}px`;
      style.height = `${h}px`;
      style.transform = `translate(${x}px, ${y}px)`;
      pane.image.classList.toggle("pixels", fit * this.zoomed > 3);
      return [x, x + w];
    }

    pane() {
      return this.after.size ? this.after : this.before;
    }

    /** The zoom at which a pixel of the picture is a pixel of the screen. */
    get actual() {
      const { size, element } = this.pane();
      if (!size) return 1;
      const fit = Math.min(element.clientWidth / size[0], element.clientHeight / size[1]);
      return 1 / (fit * window.devicePixelRatio);
    }

    /** Between "fits" and "pixel for pixel" (twice the size, for a small picture). */
    zoom(event = null) {
      if (this.zoomed > 1.01) this.zoomTo(1);
      else this.zoomTo(this.actual > 1.2 ? this.actual : 2, event);
    }

    zoomBy(factor, event = null) {
      this.zoomTo(this.zoomed * factor, event);
    }

    /** Zooms; what lies under the pointer stays there. */
    zoomTo(zoom, event = null) {
      const pane = this.pane();
      const next = Math.min(Math.max(zoom, 1), Math.max(MOST, this.actual * 4));
      if (event && pane.size) {
        const under = this.under(event);
        const fit = Math.min(
          under.box.width / pane.size[0],
          under.box.height / pane.size[1],
        );
        this.centre = [0, 1].map((axis) => {
          const length = pane.size[axis] * fit * next;
          const room = axis ? under.box.height : under.box.width;
          return under.at[axis] + (room / 2 - under.from[axis]) / length;
        });
      }
      this.zoomed = next;
      this.clamp();
      this.element.classList.toggle("zoomed", next > 1.01);
      this.layout();
      this.moded();
    }

    /** Where the pointer is: in its pane (pixels), and on the picture (0 to 1). */
    under(event) {
      const over = [this.before, this.after].find((pane) => pane.element.contains(event.target));
      const pane = this.mode === "side" && over?.size ? over : this.pane();
      const box = pane.element.getBoundingClientRect();
      const image = pane.image.getBoundingClientRect();
      const from = [event.clientX - box.left, event.clientY - box.top];
      const at = [
        (event.clientX - image.left) / (image.width || 1),
        (event.clientY - image.top) / (image.height || 1),
      ];
      return { box, from, at };
    }

    pan(dx, dy) {
      const image = this.pane().image.getBoundingClientRect();
      if (!image.width) return;
      this.centre = [this.centre[0] - dx / image.width, this.centre[1] - dy / image.height];
      this.clamp();
      this.layout();
    }

    clamp() {
      const { size, element } = this.pane();
      if (!size) return;
      const room = [element.clientWidth, element.clientHeight];
      const fit = Math.min(room[0] / size[0], room[1] / size[1]);
      this.centre = this.centre.map((centre, axis) => {
        const half = room[axis] / 2 / (size[axis] * fit * this.zoomed);
        return half >= 0.5 ? 0.5 : Math.min(Math.max(centre, half), 1 - half);
      });
    }

    // --- the boundary, and hands

    slide(to) {
      this.split = Math.min(Math.max(to, 0), 1);
      this.layout();
    }

    slid(event) {
      const step = event.shiftKey ? 0.1 : 0.02;
      const moves = {
        ArrowLeft: () => this.slide(this.split - step),
        ArrowDown: () => this.slide(this.split - step),
        ArrowRight: () => this.slide(this.split + step),
        ArrowUp: () => this.slide(this.split + step),
        PageDown: () => this.slide(this.split - 0.1),
        PageUp: () => this.slide(this.split + 0.1),
        Home: () => this.slide(0),
        End: () => this.slide(1),
      };
      if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      moves[event.key]();
    }

    slideTo(event) {
      const box = this.element.getBoundingClientRect();
      const [left, right] = this.range ?? [0, box.width];
      this.slide((event.clientX - box.left - left) / (right - left || 1));
    }

    pressed(event) {
      if (event.button > 0 || event.target.closest("button, a")) return;
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      this.element.setPointerCapture(event.pointerId);
      const onHandle = event.target === this.handle;
      this.sliding = this.mode === "slider" && (onHandle || this.zoomed <= 1.01);
      if (this.sliding) {
        event.preventDefault();
        this.handle.focus({ preventScroll: true });
        this.slideTo(event);
      }
      this.spread = this.fingers();
    }

    dragged(event) {
      const last = this.pointers.get(event.pointerId);
      if (!last) return;
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (this.pointers.size === 2) {
        const spread = this.fingers();
        if (this.spread) this.zoomBy(spread / this.spread, event);
        this.spread = spread;
      } else if (this.sliding) this.slideTo(event);
      else this.pan(event.clientX - last[0], event.clientY - last[1]);
    }

    released(event) {
      this.pointers.delete(event.pointerId);
      this.spread = 0;
    }

    fingers() {
      const [a, b] = [...this.pointers.values()];
      return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0;
    }

    wheeled(event) {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      this.zoomBy(Math.exp((-event.deltaY * lines) / 400), event);
    }
  }

  part.Stage = Stage;
})();
