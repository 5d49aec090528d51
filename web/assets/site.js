// Small conveniences; every page works without them.
"use strict";

// Times are rendered in UTC; a reader's own zone is one look away.
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!time.title && !isNaN(at)) time.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}
