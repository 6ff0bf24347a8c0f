#!/bin/sh
# Hands in a card that was sealed elsewhere, and prints the answer: the outcome, or where to ask for it. Needs curl.
#
#   BILLING_URL=https://shop.example/subscription BILLING_API_KEY=bk_… sh enqueue.sh < body.json
#
# body.json: {"customer_uid": "…", "envelope": "…", "idempotency_key": "…"}. The same idempotency key is the same job:
# after a failure, run it again. Exit code 22 if it was refused. The API key goes through a pipe, since others can see
# arguments.
set -eu

: "${BILLING_URL:?is not set}" "${BILLING_API_KEY:?is not set}"
exec 4<&0
printf 'Authorization: Bearer %s\n' "$BILLING_API_KEY" |
  curl --silent --show-error --fail-with-body --max-time 40 \
    --header @/dev/fd/3 --header 'Content-Type: application/json' --data-binary @- \
    "$BILLING_URL/issue-billing?wait=20" 3<&0 0<&4
