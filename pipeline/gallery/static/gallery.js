// What all parts of the page share: safe addresses, data files, and what this browser remembers.
"use strict";

const gallery = { part: { ...look } };

(function () {
  const { part } = gallery;

  part.bytes = function (size) {
    if (size === null || size === undefined) return "";
    if (size < 1000) return `${size} B`;
    const unit = size < 1e6 ? ["kB", 1e3] : ["MB", 1e6];
    const value = size / unit[1];
    return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit[0]}`;
  };

  // --- addresses

  const safe = /^(https?:\/\/|(?![a-z][a-z0-9+.-]*:)(?![/\\]{2})(?!\\))/i;
  /** `address` if it is relative or http(s), else "". */
  part.address = function (address) {
    if (typeof address !== "string") return "";
    // Browsers drop these characters before they look for a scheme.
    const plain = address.replace(/[\u0000-\u0020]/g, "");
    return plain && safe.test(plain) ? address : "";
  };

  /** Whether an address leads away from where this page lies. */
  part.isElsewhere = (address) =>
    /^\s*https?:/i.test(address) && new URL(address, document.baseURI).origin !== location.origin;

  part.thumb = (path) => (path ? part.address(document.body.dataset.thumbs + path) : "");

  // --- data files: scripts, because a page from disk may not fetch()

  const dataFile = /^(index|details-\d{4,})$/;
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("gallery", { createScriptURL: checked })
    : { createScriptURL: checked };

  function checked(name) {
    const [file, stamp] = name.split("?");
    if (!dataFile.test(file)) throw new TypeError(`${file} is no data file`);
    return `${document.body.dataset.data}${file}.js${stamp ? `?${stamp.replace(/\W/g, "")}` : ""}`;
  }

  /** Runs data/<name>.js, which calls gallery.index() or gallery.details(). */
  part.load = function (name, fresh = false) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = policy.createScriptURL(fresh ? `${name}?${Date.now()}` : name);
      script.onload = () => {
        script.remove();
        done();
      };
      script.onerror = () => {
        script.remove();
        failed(new Error(`${document.body.dataset.data}${name}.js is missing or cannot be read`));
      };
      document.head.append(script);
    });
  };

  // --- what this browser remembers of taste, not of decisions

  part.taste = function (name, otherwise) {
    try {
      return window.localStorage.getItem(`pipeline-${name}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  part.keepTaste = function (name, value) {
    try {
      window.localStorage.setItem(`pipeline-${name}`, value);
    } catch {
      // Taste may be lost; decisions.js says so where it matters.
    }
  };

  window.gallery = gallery;
})();
