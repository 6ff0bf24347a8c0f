"""Webhooks: every outcome is told to the merchant's server, at least once, in order for each customer_uid.

By Standard Webhooks (standardwebhooks.com): ``webhook-id`` (the job id), ``webhook-timestamp``, ``webhook-signature``.
"""
