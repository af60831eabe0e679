import{A as o,B as r,C as m,D as p}from"/app/chunk-FJ5H7RPT.js";import"/app/chunk-YVYP46WI.js";export{m as LinksScreen,p as downloadZip,r as openFileRequest,o as openShare};
