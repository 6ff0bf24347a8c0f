// The shop's page around the card page. It never sees a card: a job's id and status are all that it hears, and the
// shop's server asks for the outcome before it believes either.

const place = document.getElementById("card");
embedCard(place, place.dataset.page, (told) => {
  location.assign(`/thanks?${new URLSearchParams({ order: place.dataset.order, ...told })}`);
});
