// Nobody is logged in: what this device held for the last login is thrown away. Entries that wait stay sealed.
import { lock } from "/static/offline.js";
if (window.indexedDB) lock().catch(() => null);
