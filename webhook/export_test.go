package webhook

// RetryAfter is retryAfter, for tests.
var RetryAfter = retryAfter
