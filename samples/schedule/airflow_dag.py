"""Every night except Sunday: give the orders the statuses of the sheet. Airflow 3, or 2.4 and later.

Once: `pip install .` where Airflow's workers run, and this file into the folder of the DAGs. Airflow 3 has the operator
in `apache-airflow-providers-standard`, which comes with it.

Only orders that differ are sent, so a retry is harmless: an order that already has its status is left alone.
--restart: each night has a new sheet under the same name; a retry reads all orders again and sends what is left.
"""

from datetime import datetime, timedelta

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator

with DAG(
    dag_id="batch_updater",
    schedule="15 2 * * 1-6",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
):
    BashOperator(
        task_id="update_orders",
        # exec: Airflow's SIGTERM reaches the program, which lets requests in flight finish.
        bash_command="exec batch-updater run /srv/orders/tonight.csv --compare --yes --restart --max-failures 2% -q",
        env={
            "EVREKA360_BASE_URL": "https://api.example.com/v1",
            "EVREKA360_ACCESS_TOKEN_FILE": "/run/secrets/evreka360-token",
        },
        append_env=True,
        # Without this the exit status 99, wherever it comes from, would show the task as skipped instead of failed.
        # Anything but 0 fails the task: 3 says that some rows are not done, 6 that the service was down.
        skip_on_exit_code=None,
        retries=2,
        retry_delay=timedelta(minutes=15),
    )
