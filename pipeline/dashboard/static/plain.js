// Pages without anything live.
import { themes } from "./shared.js";

themes();
