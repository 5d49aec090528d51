// Package devstack provides what `rollcall dev` needs and production has as
// separate servers: a private PostgreSQL, a Redis inside the process and a
// mailbox that captures outgoing mail. All end with the process that started
// them.
package devstack
