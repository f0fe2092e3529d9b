import pytest

from batch_updater.common.errors import InputError
from batch_updater.inputs.columns import ColumnNames, find_columns

# Headers -> order and status that are taken.
TAKEN = [
    ("id name status_id new_status", "id", "new_status"),
    ("order.id status.id", "order.id", "status.id"),
    ("OrderNo Status", "OrderNo", "Status"),
    ("id OrderNo order_id status", "order_id", "status"),
    ("Order_ID* current_status status", "Order_ID*", "status"),
    ("Auftragsnr. Status Zielstatus", "Auftragsnr.", "Zielstatus"),
    ("Auftrag Status_alt Status_neu", "Auftrag", "Status_neu"),
    ("SİPARİŞ_NO Durum Yeni_Durum", "SİPARİŞ_NO", "Yeni_Durum"),
    ("İş_Emri_No Mevcut_Durum Hedef_Durum", "İş_Emri_No", "Hedef_Durum"),
    ("N°_de_commande État_actuel Nouvel_état", "N°_de_commande", "Nouvel_état"),
    ("Pedido Estado_anterior Nuevo_estado", "Pedido", "Nuevo_estado"),
    ("order_id status Neubau_Status", "order_id", "status"),
    ("order_id status new_status_date", "order_id", "status"),
    ("orderid newstatusid status", "orderid", "newstatusid"),
    ("order_id state status", "order_id", "status"),
    ("order_id status new_state", "order_id", "new_state"),
]


@pytest.mark.parametrize(("header", "order", "status"), TAKEN, ids=[case[0] for case in TAKEN])
def test_the_status_that_an_order_should_get_is_taken(header: str, order: str, status: str) -> None:
    """New ranks before plain, in any of five languages; words count as a whole; the others are named as not used."""
    columns = find_columns([title.replace("_", " ") for title in header.split()], ColumnNames())
    assert (columns.order_header, columns.status_header) == (order.replace("_", " "), status.replace("_", " "))
    assert not columns.alike


REFUSED = [
    ("order_id current_status", "what the orders have now", ["--status-column current_status"]),
    ("order_id eski_durum", "what the orders have now", ["--status-column eski_durum"]),
    ("order_id status updated_status", "may hold the new status", ["--status-column status", "updated_status"]),
    ("order_id status new", "may hold the new status", ["--status-column new"]),
    ("order_id Order-ID status", "may hold the order", ["--order-column order_id", "--order-column Order-ID"]),
    ("order_id Status_Office", "no status column", ["--status-column Status_Office"]),
    ("Ref status", "no order column", ["--order-column Ref"]),
]


@pytest.mark.parametrize(("header", "words", "options"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_is_not_certain_is_refused_with_the_option_to_type(header: str, words: str, options: list[str]) -> None:
    """No status is sent on a guess, and the hint is an option that can be typed as it stands."""
    with pytest.raises(InputError) as caught:
        find_columns(header.split(), ColumnNames())
    assert words in caught.value.message
    assert all(option in caught.value.hint for option in options)


def test_columns_that_may_be_ids_and_names_are_left_to_their_cells() -> None:
    """The header of a plain export alone does not tell."""
    columns = find_columns(["order_id", "status_id", "status_name"], ColumnNames())
    assert (columns.status, columns.alike, columns.unused) == (1, (2,), ("status_name",))


def test_own_headers_rank_first() -> None:
    """What a person has written into the config file is taken before any known word."""
    names = ColumnNames(own={"order": ["Ticket"], "status": ["Soll-Wert"]})
    columns = find_columns(["order_id", "new_status", "TICKET", "soll wert"], names)
    assert (columns.order, columns.status) == (2, 3)


def test_the_current_status_is_what_an_order_must_have() -> None:
    """With --compare, a column of current statuses is checked; one of old statuses says nothing about now."""
    found = find_columns(["order_id", "new_status", "Mevcut Durum", "old_status"], ColumnNames(), compares=True)
    assert found.expect == 2
