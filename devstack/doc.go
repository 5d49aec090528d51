// Package devstack provides what `rollcall dev` needs and a production system
// has elsewhere: a private PostgreSQL, a Redis inside the process and a mailbox
// that captures what is sent. All end with the process that started them.
package devstack
